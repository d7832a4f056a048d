"""The stages of a load, one verb a module: read, map, clean, check, stage, merge.

Each takes (input, contract, context) and gives (output, findings); none knows its neighbours.
``load`` composes them.
"""
