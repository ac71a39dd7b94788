"""What an AWS account needs before `ray up`: parts that can be looked at, made and taken away.

Each part knows what is missing, so preparing twice changes nothing and a dry run tells the truth.
"""
