"""What is run beside loanrouter: rules and alerts for Prometheus, dashboards for Grafana."""
