"""An attack on a study's own training path: does it keep what it promises?"""
