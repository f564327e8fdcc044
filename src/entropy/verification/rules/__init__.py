"""What each rule of a policy asks of a plan, at the end and along the way; one function a rule."""
