"""A Gymnasium environment for machine-learning tasks, agents, trajectories and campaigns."""
