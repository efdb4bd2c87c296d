# What one asks for after an apply.

output "lake" {
  description = "The layers' roots, as the settings of a command line that looks at this lake."
  value       = { for layer, root in local.roots : "COINLAKE_${upper(layer)}" => root }
}

output "functions" {
  description = "The functions by layer, each with the address that answers."
  value       = { for layer, function in google_cloudfunctions2_function.step : layer => { name = function.name, uri = function.service_config[0].uri } }
}

output "call" {
  description = "How to set off the domino by hand."
  value       = "gcloud functions call ${local.functions.bronze.name} --region=${var.region} --project=${var.project_id} --data='{}'"
}

output "dead_letters" {
  description = "Where what died waits."
  value       = google_pubsub_subscription.dead.id
}

output "api_key_secret" {
  description = "The secret to add CoinGecko's key to."
  value       = google_secret_manager_secret.api_key.secret_id
}

output "image_repository" {
  description = "Where an image of the dashboard goes."
  value       = "${var.region}-docker.pkg.dev/${var.project_id}/${google_artifact_registry_repository.images.repository_id}"
}

output "bundle" {
  description = "What the functions are made of."
  value       = google_storage_bucket_object.bundle.name
}

output "dashboard" {
  description = "Address of the dashboard; null without one."
  value       = try(google_cloud_run_v2_service.dashboard["center"].uri, null)
}
