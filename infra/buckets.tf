# Where bytes lie: one bucket a layer, and one for the functions' source.
#
# Bronze cannot be made again, so what is deleted there comes back for a month. Silver can be made from bronze and gold
# from silver: theirs is kept just long enough to notice a mistake, because old versions are billed.

locals {
  layers = {
    bronze = { keep = var.keep.bronze, colder = [for class, days in { NEARLINE = var.keep.bronze.nearline, COLDLINE = var.keep.bronze.coldline } : { class = class, days = days } if days > 0] }
    silver = { keep = var.keep.silver, colder = [] }
    gold   = { keep = var.keep.gold, colder = [] }
  }
  data_bucket = { for layer in keys(local.layers) : layer => "${var.prefix}-${layer}-${var.project_id}" }
}

resource "google_storage_bucket" "layer" {
  #checkov:skip=CKV_GCP_62:Access logs come as Data Access audit logs (audit_logs), which know principals; a bucket's own would be one more bucket
  for_each = local.layers

  name                        = local.data_bucket[each.key]
  project                     = var.project_id
  location                    = var.region
  storage_class               = "STANDARD"
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  labels                      = { layer = each.key }

  # Destroy forgets a data bucket and leaves it, unless it is told to delete what is inside as well.
  deletion_policy = var.delete_data ? "DELETE" : "ABANDON"
  force_destroy   = var.delete_data

  versioning {
    enabled = true
  }

  soft_delete_policy {
    retention_duration_seconds = each.value.keep.soft_delete * 86400
  }

  lifecycle_rule {
    action {
      type = "Delete"
    }
    condition {
      days_since_noncurrent_time = each.value.keep.noncurrent
      with_state                 = "ARCHIVED"
    }
  }

  lifecycle_rule {
    action {
      type = "AbortIncompleteMultipartUpload"
    }
    condition {
      age = 1
    }
  }

  # The runs' own records are read every day and stay where reading is free of charge.
  dynamic "lifecycle_rule" {
    for_each = each.value.colder
    content {
      action {
        type          = "SetStorageClass"
        storage_class = lifecycle_rule.value.class
      }
      condition {
        age            = lifecycle_rule.value.days
        matches_prefix = local.sources
      }
    }
  }

  dynamic "encryption" {
    for_each = var.kms_key[*]
    content {
      default_kms_key_name = encryption.value
    }
  }

  depends_on = [time_sleep.services, time_sleep.keys]
}

resource "google_storage_bucket" "source" {
  #checkov:skip=CKV_GCP_62:Holds a zip of public source only; the build's own log says who read it
  name                        = "${var.prefix}-source-${var.project_id}"
  project                     = var.project_id
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = true # made anew by make bundle

  versioning {
    enabled = true
  }

  soft_delete_policy {
    retention_duration_seconds = 0
  }

  lifecycle_rule {
    action {
      type = "Delete"
    }
    condition {
      days_since_noncurrent_time = 30
      with_state                 = "ARCHIVED"
    }
  }

  dynamic "encryption" {
    for_each = var.kms_key[*]
    content {
      default_kms_key_name = encryption.value
    }
  }

  depends_on = [time_sleep.services, time_sleep.keys]
}

# Named by its content: another bundle is another object, and so another deployment.
locals {
  bundle      = coalesce(var.bundle, "${path.root}/../dist/coinlake-functions.zip")
  has_bundle  = fileexists(local.bundle)
  bundle_name = local.has_bundle ? "coinlake-functions-${substr(filesha256(local.bundle), 0, 16)}.zip" : "no-bundle-yet-run-make-bundle.zip"
}

resource "google_storage_bucket_object" "bundle" {
  name    = local.bundle_name
  bucket  = google_storage_bucket.source.name
  source  = local.has_bundle ? local.bundle : null
  content = local.has_bundle ? null : "There was no bundle when this was planned: run make bundle, then apply again."

  lifecycle {
    precondition {
      condition     = var.bundle == null || local.has_bundle
      error_message = "There is no file ${local.bundle}, which `bundle` names: run make bundle, and name what it wrote, or leave `bundle` out."
    }

    # Before the first apply nobody knows when services were switched on, so a first plan passes without a bundle; an
    # apply gets to know it and stops here, before functions are built of nothing. What a test's mock makes up is no time.
    precondition {
      condition     = local.has_bundle || !can(timeadd(time_sleep.services.id, "0s"))
      error_message = "There is no bundle to make the functions of: run make bundle (it writes dist/coinlake-functions.zip), then apply again."
    }
  }
}
