"""Servers on loopback that speak the wires of what we talk to, healthy or with a fault put in."""
