"""The model card of a run: what the model is for, what it learned from, what it promises, how good it is, for whom not.

After Mitchell et al. 2019, "Model Cards for Model Reporting".
"""
