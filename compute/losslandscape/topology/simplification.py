"""stub"""
def check_threshold(t):
    return float(t)
def simplified_field(f,t):
    raise NotImplementedError
