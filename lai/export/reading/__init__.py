"""Reads a model from any file or folder that holds one; nothing in it is executed."""
