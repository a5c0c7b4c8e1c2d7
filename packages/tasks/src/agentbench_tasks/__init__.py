"""Machine-learning tasks as data: schema, catalogue, preparation, leak checks, grading."""
