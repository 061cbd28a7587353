"""What leaves a session: pictures, state files, glTF and web pages."""
