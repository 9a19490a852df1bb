"""Every figure that the README claims, each beside its bound; `make bench` runs them all."""
