"""Taskiq: a doorbell between processes, and never the record of what there is to do."""
