"""Row arithmetic of the linear losses, in torch and in CUDA C++."""
