"""Render people with exactly known expressions from open 3D heads (`python -m tergan_hf.data avatars --help`)."""
