# Who may what. One account for each job, each with the narrowest role on the narrowest resource; nobody administers.
#
#   bronze      reads silver (to plan), creates in bronze: it can neither overwrite nor delete
#   silver      reads bronze, writes silver
#   gold        reads silver, writes gold
#   silver and gold also leave the record of each run under bronze's _runs/, and can touch nothing else there
#   scheduler   calls bronze, and gold for its hourly look
#   pusher      hands events to silver and gold
#   builder     builds the functions

locals {
  accounts = {
    bronze    = "Fetches from CoinGecko into bronze"
    silver    = "Cleans bronze into silver"
    gold      = "Concludes from silver into gold"
    scheduler = "Calls bronze every day"
    pusher    = "Hands storage events to silver and gold"
    builder   = "Builds the functions"
  }
  # Put together from what a plan knows, so that a plan shows who gets what.
  email   = { for name, account in google_service_account.job : name => "${account.account_id}@${account.project}.iam.gserviceaccount.com" }
  account = { for name, email in local.email : name => "serviceAccount:${email}" }

  may_create = "roles/storage.objectCreator"
  may_read   = "roles/storage.objectViewer"
  may_write  = "roles/storage.objectUser"

  # Who may what on which data bucket; `below` narrows it to a folder.
  grants = {
    bronze-creates-bronze = { who = "bronze", role = local.may_create, on = "bronze", below = null }
    bronze-reads-bronze   = { who = "bronze", role = local.may_read, on = "bronze", below = null }
    bronze-reads-silver   = { who = "bronze", role = local.may_read, on = "silver", below = null }

    silver-reads-bronze = { who = "silver", role = local.may_read, on = "bronze", below = null }
    silver-writes       = { who = "silver", role = local.may_write, on = "silver", below = null }
    silver-notes-runs   = { who = "silver", role = local.may_create, on = "bronze", below = local.runs }

    gold-reads-silver = { who = "gold", role = local.may_read, on = "silver", below = null }
    gold-writes       = { who = "gold", role = local.may_write, on = "gold", below = null }
    gold-notes-runs   = { who = "gold", role = local.may_create, on = "bronze", below = local.runs }
    gold-reads-runs   = { who = "gold", role = local.may_read, on = "bronze", below = local.runs }
  }
  runs = "_runs/"
}

resource "google_service_account" "job" {
  for_each = local.accounts

  project      = var.project_id
  account_id   = "${var.prefix}-${each.key}"
  display_name = each.value

  depends_on = [time_sleep.services]
}

resource "google_storage_bucket_iam_member" "granted" {
  for_each = local.grants

  bucket = google_storage_bucket.layer[each.value.on].name
  role   = each.value.role
  member = local.account[each.value.who]

  dynamic "condition" {
    for_each = each.value.below[*]
    content {
      title      = "only-below-${trim(condition.value, "_/")}"
      expression = "resource.name.startsWith(\"projects/_/buckets/${google_storage_bucket.layer[each.value.on].name}/objects/${condition.value}\")"
    }
  }
}

# Who may call which function. The service is Cloud Run's and loses its grants when the function is replaced.

resource "google_cloud_run_v2_service_iam_member" "scheduler" {
  for_each = toset([for call in local.calls : call.function])

  project  = var.project_id
  location = var.region
  name     = google_cloudfunctions2_function.step[each.key].name
  role     = "roles/run.invoker"
  member   = local.account.scheduler

  lifecycle {
    replace_triggered_by = [google_cloudfunctions2_function.step[each.key].id]
  }
}

resource "google_cloud_run_v2_service_iam_member" "pusher" {
  for_each = local.events

  project  = var.project_id
  location = var.region
  name     = google_cloudfunctions2_function.step[each.key].name
  role     = "roles/run.invoker"
  member   = local.account.pusher

  lifecycle {
    replace_triggered_by = [google_cloudfunctions2_function.step[each.key].id]
  }
}

resource "google_cloud_run_v2_service_iam_member" "operator" {
  for_each = var.operators

  project  = var.project_id
  location = var.region
  name     = google_cloudfunctions2_function.step["bronze"].name
  role     = "roles/run.invoker"
  member   = each.key

  lifecycle {
    replace_triggered_by = [google_cloudfunctions2_function.step["bronze"].id]
  }
}

# Pub/Sub asks for tokens in the pusher's name. In projects since 2021 it may anyway; where somebody tidied, here too.
resource "google_service_account_iam_member" "pusher" {
  service_account_id = google_service_account.job["pusher"].name
  role               = "roles/iam.serviceAccountOpenIdTokenCreator"
  member             = local.agents.pubsub

  depends_on = [google_pubsub_topic.event]
}

# The builder ------------------------------------------------------------------------------------------------------

locals {
  # Cloud Functions copies the source into a bucket of its own, which is not there before the first deployment: so the
  # right to read it is the project's, with the bucket's name as a condition.
  builder = {
    "roles/logging.logWriter"    = null
    "roles/storage.objectViewer" = "gcf-v2-sources-${var.project_number}-${var.region}"
  }
}

resource "google_project_iam_member" "builder" {
  for_each = local.builder

  project = var.project_id
  role    = each.key
  member  = local.account.builder

  dynamic "condition" {
    for_each = each.value[*]
    content {
      title      = "only-the-functions-sources"
      expression = "resource.name.startsWith(\"projects/_/buckets/${condition.value}\")"
    }
  }
}

resource "google_storage_bucket_iam_member" "builder" {
  bucket = google_storage_bucket.source.name
  role   = local.may_read
  member = local.account.builder
}

resource "google_artifact_registry_repository_iam_member" "builder" {
  project    = var.project_id
  location   = google_artifact_registry_repository.images.location
  repository = google_artifact_registry_repository.images.name
  role       = "roles/artifactregistry.writer"
  member     = local.account.builder
}
