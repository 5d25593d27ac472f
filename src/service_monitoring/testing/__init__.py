"""Published for plugin writers and users: a simulated clock, builders, and conformance kits for every port.

A kit is a class of laws, one test a law: subclass it in a test module of your own and say what it is tried on.
Importing this room loads nothing; name the module that you need.
"""
