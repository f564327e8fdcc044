"""Acts on hypervisors through libvirt: peer-to-peer live migration, suspend, resume, run, stop (extra ``[libvirt]``)."""
