"""How the shipped model is made. Needs PyTorch, which the package itself never imports."""

import os

# Must be set before the first import of PyTorch: waiting threads that spin make a shared machine many times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
