"""Many hospitals on one machine."""
