"""Metrics, human leaderboards, statistics and reports for agent benchmarks."""
