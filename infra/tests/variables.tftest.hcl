# What the variables refuse, before Google would have in the middle of an apply. A run takes one mistake of each, and
# every one of them has to be found (what is judged by the region, in other runs than the region itself).

mock_provider "google" {}
mock_provider "time" {}

variables {
  project_id     = "a-project"
  project_number = "210987654321"
}

run "one_mistake_each" {
  command = plan

  variables {
    project_id        = "My Project"
    project_number    = "my-project"
    prefix            = "a-prefix-that-is-too-long"
    labels            = { Team = "Trading" }
    top               = 0
    plan              = "free"
    rate              = -1
    own_sources       = ["coingecko"]
    schedule          = { daily = { first = "45 0 * *" } }
    functions         = { silver = { memory = "16Gi" } }
    delivery          = { ack_deadline_s = 1800 }
    keep              = { silver = { soft_delete = 3 } }
    alert_email       = "somebody"
    budget            = { billing_account = "mine" }
    operators         = ["allUsers"]
    dashboard         = { image = "us-docker.pkg.dev/a/b/c:1" }
    bigquery          = { gold = ["gold.daily"] }
    kms_key           = "projects/p/locations/us/keyRings/r/cryptoKeys/k"
    allowed_locations = ["australia"]
  }

  expect_failures = [
    var.project_id,
    var.project_number,
    var.prefix,
    var.labels,
    var.top,
    var.plan,
    var.rate,
    var.own_sources,
    var.schedule,
    var.functions,
    var.delivery,
    var.keep,
    var.alert_email,
    var.budget,
    var.operators,
    var.dashboard,
    var.bigquery,
    var.kms_key,
    var.allowed_locations,
  ]
}

run "another_mistake_each" {
  command = plan

  variables {
    prefix      = "my-google"
    top         = 2.5
    plan        = "demo" # without a key
    rate        = 0.5
    own_sources = ["_runs"]
    schedule    = { daily = { first = "75 0 * * *" } }
    functions   = { gold = { max_instances = 0 } }
    delivery    = { ack_deadline_s = 300 } # work goes on to 540
    keep        = { bronze = { nearline = 90, coldline = 30 } }
    budget      = { billing_account = "01AB23-45CD67-89EF01", amount = 0 }
    operators   = ["someone@example.com"]
    dashboard   = { image = "australia-southeast1-docker.pkg.dev/a/b/c:1", viewers = ["allUsers"] }
  }

  expect_failures = [
    var.prefix,
    var.top,
    var.plan,
    var.rate,
    var.own_sources,
    var.schedule,
    var.functions,
    var.delivery,
    var.keep,
    var.budget,
    var.operators,
    var.dashboard,
  ]
}

run "a_third_mistake_each" {
  command = plan

  variables {
    api_key_version = "latest"
    top             = 10001
    own_sources     = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"]
    schedule        = { snapshots = "0 24 * * *" }
    delivery        = { max_attempts = 3 }
    keep            = { gold = { noncurrent = 0 } }
    dashboard       = { image = "australia-southeast1-docker.pkg.dev/a/b/c:1", memory = "1 GB" }
  }

  expect_failures = [
    var.api_key_version,
    var.top,
    var.own_sources,
    var.schedule,
    var.delivery,
    var.keep,
    var.dashboard,
  ]
}

run "a_fourth_mistake_each" {
  command = plan

  variables {
    region   = "australia-southeast1-a"
    schedule = { daily = {} }
    delivery = { max_attempts = 101 }
  }

  expect_failures = [
    var.region,
    var.schedule,
    var.delivery,
  ]
}

run "a_fifth_mistake_each" {
  command = plan

  variables {
    region   = "asia"
    schedule = { look = "hourly" }
    delivery = { min_backoff_s = 60, max_backoff_s = 30 }
  }

  expect_failures = [
    var.region,
    var.schedule,
    var.delivery,
  ]
}

run "a_sixth_mistake_each" {
  command = plan

  variables {
    delivery = { keep_dead_days = 60 }
  }

  expect_failures = [
    var.delivery,
  ]
}

# What stands in terraform.tfvars as an example, texts that are empty, and numbers that are not whole.
run "a_seventh_mistake_each" {
  command = plan

  variables {
    project_id      = "your-project-id"
    project_number  = "123456789012"
    bundle          = ""
    api_key_version = ""
    alert_email     = ""
    schedule        = { daily = { first = "45-5 0 * * *" } }
    delivery        = { work_deadline_s = 100.5 }
    keep            = { bronze = { soft_delete = 30.5 } }
  }

  expect_failures = [
    var.project_id,
    var.project_number,
    var.bundle,
    var.api_key_version,
    var.alert_email,
    var.schedule,
    var.delivery,
    var.keep,
  ]
}

run "an_eighth_mistake_each" {
  command = plan

  variables {
    plan     = ""
    schedule = { daily = { first = "0 23-1 * * *" } }
    delivery = { ack_deadline_s = 570.5 }
    keep     = { bronze = { nearline = 0.5 } }
  }

  expect_failures = [
    var.plan,
    var.schedule,
    var.delivery,
    var.keep,
  ]
}

run "a_ninth_mistake_each" {
  command = plan

  variables {
    schedule = { look = "*/99 * * * *" }
    delivery = { min_backoff_s = 1.5 }
    keep     = { bronze = { nearline = -1 } }
  }

  expect_failures = [
    var.schedule,
    var.delivery,
    var.keep,
  ]
}

run "a_tenth_mistake_each" {
  command = plan

  variables {
    schedule = { daily = { first = "45 0 * * *", snapshot = "45 1 * * *" } }
    delivery = { max_backoff_s = 100.5 }
    keep     = { bronze = { nearline = 0, coldline = 365.5 } }
  }

  expect_failures = [
    var.schedule,
    var.delivery,
    var.keep,
  ]
}

run "an_eleventh_mistake_each" {
  command = plan

  variables {
    schedule = { snapshots = "" }
    delivery = { keep_days = 1.5 }
  }

  expect_failures = [
    var.schedule,
    var.delivery,
  ]
}

run "a_twelfth_mistake_each" {
  command = plan

  variables {
    schedule = { daily = { first = "0 0 1 1 5-2" } }
    delivery = { keep_dead_days = 1.5 }
  }

  expect_failures = [
    var.schedule,
    var.delivery,
  ]
}

run "a_day_that_never_comes" {
  command = plan

  variables {
    schedule = { daily = { first = "0 0 30 2 *" } }
  }

  expect_failures = [
    var.schedule,
  ]
}

run "a_day_that_none_of_its_months_has" {
  command = plan

  variables {
    schedule = { snapshots = "0 0 31 02,4,6-9/3,11 *" }
  }

  expect_failures = [
    var.schedule,
  ]
}

run "a_bundle_that_is_named_has_to_be_there" {
  command = plan

  variables {
    bundle = "/nonexistent.zip"
  }

  expect_failures = [
    google_storage_bucket_object.bundle,
  ]
}

run "what_may_be_said_in_a_schedule" {
  command = plan

  variables {
    schedule = {
      daily = {
        numbers = "5 08 31 12 7"
        ranges  = "0-59 0-23 1-31 1-12 0-7"
        steps   = "*/15 1-23/2 */31 */12 */7"
        lists   = "0,15,30-45 8,20 1,15 1-3,6 1-5,7"
        leap    = "0 0 29 2 *"
        either  = "0 0 30 2 1" # the 30th, or a Monday
        some    = "0 0 31 4-5 *"
        one     = "0 0 30,28 2 *"
      }
      snapshots = "*/59 */23 * * *"
    }
  }

  assert {
    condition     = length(google_cloud_scheduler_job.call) == 10
    error_message = "Every call has a job of its own: eight a day, the snapshots, and gold's look."
  }
}
