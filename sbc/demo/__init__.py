"""The lab: certificates and a demonstration that runs on one machine."""
