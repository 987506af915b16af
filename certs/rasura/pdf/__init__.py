"""Certificates as PDF pages: set by typst, tagged, with the signed bundles attached, and compared with them.

Nothing here is imported before a PDF is asked for or handed in: the heavy libraries are those of the extra
``rasura[pdf]``.
"""
