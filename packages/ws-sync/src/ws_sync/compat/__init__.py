"""Drop-in modules: programs written for another library run on this one after changing one import.

Each module here has the name of the library that it stands in for.
"""
