"""The definitions of this plugin's proxies, given to ParaView as one text."""

import xml.etree.ElementTree as ElementTree

# where ParaView's decorators keep the class that they decorated, and its definition
_DECORATED, _DEFINITION = "_pv_original_func", "_pvsm_proxy_xml"


def join_definitions(proxies):
    """Move the definitions of all proxies into that of the first.

    ParaView's window rebuilds its menus for each text of definitions in a plugin, a quarter of a
    second each. If this ParaView stores them in another way, nothing is done.

    Args:
        proxies: list of what `smproxy` decorates.
    """
    classes = [_undecorated(proxy) for proxy in proxies]
    if not all(hasattr(one, _DEFINITION) for one in classes):
        return
    whole, *others = [ElementTree.fromstring(getattr(one, _DEFINITION)) for one in classes]
    for other in others:
        whole.extend(other)
    setattr(classes[0], _DEFINITION, ElementTree.tostring(whole, encoding="unicode"))
    for one in classes[1:]:
        delattr(one, _DEFINITION)


def _undecorated(proxy):
    while hasattr(proxy, _DECORATED):
        proxy = getattr(proxy, _DECORATED)
    return proxy
