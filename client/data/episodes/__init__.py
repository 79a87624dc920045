"""Episodes: decisions that follow one another, each with its state, its action and its reward."""
