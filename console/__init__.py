"""The web console: server-rendered pages for risk officers, and the projection that feeds them."""
