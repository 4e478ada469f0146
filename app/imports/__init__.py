"""(face written with its actions)"""
