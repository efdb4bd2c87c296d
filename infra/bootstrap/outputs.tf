output "bucket" {
  description = "Where the root's state goes: terraform init -migrate-state -backend-config=\"bucket=…\"."
  value       = google_storage_bucket.state.name
}

output "ci" {
  description = "What the CI has to name: its provider, and the account it becomes. Null without one."
  value = var.ci == null ? null : {
    provider = google_iam_workload_identity_pool_provider.ci["deployer"].name
    account  = google_service_account.deployer["deployer"].email
  }
}
