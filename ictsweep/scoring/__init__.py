"""Trained models judged after the fact: scores with their uncertainty, samples for other tools,
studies ranked again under another metric.
"""
