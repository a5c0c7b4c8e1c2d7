"""IQLearn: scalable inverse reinforcement learning for language models."""
