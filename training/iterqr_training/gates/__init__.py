"""Whether a checkpoint may take the champion's place: every gate has a name, and a refusal says why."""
