# What the variables refuse, before Google would have in the middle of an apply. A run takes one mistake of each, and
# every one of them has to be found (what is judged by the region, in other runs than the region itself).

mock_provider "google" {}
mock_provider "time" {}

variables {
  project_id     = "a-project"
  project_number = "123456789012"
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
