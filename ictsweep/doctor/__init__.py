"""What `ictsweep doctor` finds on this machine; `launch.inspection` finds it on a cluster."""
