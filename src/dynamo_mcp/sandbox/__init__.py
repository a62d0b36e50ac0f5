"""What may a template do? The tier that this machine offers, the policy of a job, and the launch of a renderer."""
