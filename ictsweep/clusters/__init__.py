"""Machines for studies: cluster files checked before they cost money, accounts prepared, machines
that stop themselves. Nothing is imported here: each command needs another library.
"""
