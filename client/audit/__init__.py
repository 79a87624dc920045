"""What a privacy officer asks: what was spent, and does the record hold together?"""
