"""What a job will take: the figures that files, settings and earlier jobs give, before it runs."""
