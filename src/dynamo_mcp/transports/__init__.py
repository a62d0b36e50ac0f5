"""How do bytes arrive?"""
