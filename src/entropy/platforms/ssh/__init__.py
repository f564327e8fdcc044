"""Acts on hypervisors with commands: ``xl``, ``xm``, ``virsh``, or a site's own script, run on the nodes over ssh."""
