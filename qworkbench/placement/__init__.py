"""Where each op runs and why: context, tail and scale-group rules, each in the file that carries its name."""
