"""The book-keeping engine: per-unit clipped gradients from one forward and one backward pass.

Forward hooks keep what every layer read; one backward pass that computes no weight gradients hands every layer's output
gradient to a rule of its type. The rule gives the gradient of every unit of privacy, or its norm and the means to sum
it, so that no weight gradient is formed twice (the idea of Bu et al. 2023, "Differentially private optimization on
large model at small cost", arXiv 2210.00038).
"""
