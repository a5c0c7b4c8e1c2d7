"""One small reader for each competition whose raw files no format of a recipe can read.

Each module has `convert(raw)`: turn the odd files in the folder into ones that a format can read,
and `disguise(raw)`, its reverse, with which a stand-in gets files as odd as the real ones.
"""
