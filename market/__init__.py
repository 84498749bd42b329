"""The simulated market: borrowers and funders. Drives the demo and the tests; never reaches into agents."""
