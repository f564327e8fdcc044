"""Ganglia: observe a cluster from the XML of gmond or gmetad; publish a node's ``container.*`` metrics."""
