"""An independent replayer: does a plan keep everything that the contract promises, in every order of events?"""
