"""The operator tables as reviewed data, one file per march; what two marches share is written once."""
