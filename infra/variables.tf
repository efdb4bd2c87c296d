# What can be chosen. Each refuses here, in words, what Google would refuse in the middle of an apply.

variable "project_id" {
  description = "Id of the project: lower-case letters, digits and hyphens."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project_id))
    error_message = "project_id should be a project's id, such as my-coinlake: 6 to 30 lower-case letters, digits and hyphens."
  }

  validation {
    condition     = var.project_id != "your-project-id"
    error_message = "project_id still is what stands in terraform.tfvars as an example: write your own project's there (gcloud projects list)."
  }
}

variable "project_number" {
  description = "Number of the same project; Google's own accounts are named after it."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[1-9][0-9]{5,17}$", var.project_number))
    error_message = "project_number should be digits only: gcloud projects describe PROJECT_ID --format='value(projectNumber)'."
  }

  validation {
    condition     = var.project_number != "123456789012"
    error_message = "project_number still is what stands in terraform.tfvars as an example: write your own project's there (gcloud projects describe PROJECT_ID --format='value(projectNumber)')."
  }
}

variable "region" {
  description = "Where everything lies and runs."
  type        = string
  default     = "australia-southeast1"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]{1,2}$", var.region))
    error_message = "region should be one region such as australia-southeast1 (Sydney): no zone, no multi-region."
  }
}

variable "prefix" {
  description = "What names begin with; the three functions keep theirs."
  type        = string
  default     = "coinlake"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,14}[a-z0-9]$", var.prefix)) && !can(regex("google|^goog", var.prefix))
    error_message = "prefix should be 3 to 16 lower-case letters, digits and hyphens, without the word google."
  }
}

variable "labels" {
  description = "Labels for everything that can have some, besides app."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition = alltrue([
      for key, value in var.labels :
      can(regex("^[a-z][a-z0-9_-]{0,62}$", key)) && can(regex("^[a-z0-9_-]{0,63}$", value))
    ])
    error_message = "labels should be lower-case letters, digits, - and _, 63 at the most, and a key begins with a letter."
  }
}

variable "bundle" {
  description = "The functions' source, as `make bundle` writes it. Without it: dist/coinlake-functions.zip beside infra/."
  type        = string
  default     = null

  validation {
    condition     = var.bundle != ""
    error_message = "bundle should be the path of a file that make bundle wrote; leave it out (or null) for the one in dist/."
  }
}

# What is fetched --------------------------------------------------------------------------------------------------

variable "top" {
  description = "How many of the largest coins to follow."
  type        = number
  default     = 50
  nullable    = false

  validation {
    condition     = var.top == floor(var.top) && var.top >= 1 && var.top <= 10000
    error_message = "top should be a whole number from 1 to 10000."
  }
}

variable "plan" {
  description = "CoinGecko's plan. Without it: keyless, or demo with a key."
  type        = string
  default     = null

  validation {
    condition     = var.plan == null || contains(["keyless", "demo", "basic", "analyst", "lite", "enterprise"], var.plan == null ? "keyless" : var.plan)
    error_message = "plan should be one of keyless, demo, basic, analyst, lite, enterprise; leave it out (or null) for what the key allows."
  }

  validation {
    condition     = contains(["keyless"], coalesce(var.plan, "keyless")) || var.api_key_version != null
    error_message = "This plan needs a key: add it as a version of the secret, and set api_key_version to the version's number."
  }
}

variable "api_key_version" {
  description = "Version of the secret that holds CoinGecko's key. Null: no key, and no function refers to the secret."
  type        = string
  default     = null

  validation {
    condition     = var.api_key_version == null || can(regex("^[1-9][0-9]*$", var.api_key_version))
    error_message = "api_key_version should be a version's number such as 1: a pinned one, so that what runs is what was applied. Without a key leave it out (or null): an empty text is none of both."
  }
}

variable "rate" {
  description = "Most calls to CoinGecko in any 60 seconds; 0 for no limit. Without it: by plan."
  type        = number
  default     = null

  validation {
    condition     = coalesce(var.rate, 0) >= 0 && coalesce(var.rate, 0) == floor(coalesce(var.rate, 0))
    error_message = "rate should be a whole number from 0 on."
  }
}

variable "own_sources" {
  description = "Sources of own histories whose import sets off silver at once; those of others wait for the next daily run."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for source in var.own_sources : can(regex("^[^\\s/?#&%\\\\_][^\\s/?#&%\\\\]*$", source)) && source != "coingecko"])
    error_message = "own_sources should be names as given to coinlake import --source, without a slash, and other than coingecko."
  }

  validation {
    condition     = length(var.own_sources) <= 9
    error_message = "own_sources should be 9 at the most: a bucket has 10 notifications of one event type, and one is coingecko's."
  }
}

# When and how -----------------------------------------------------------------------------------------------------

variable "schedule" {
  description = <<-EOT
    When bronze is called, in UTC, as cron. `daily` are the calls for the day that ended: the second does nothing where
    nothing is missing. `snapshots`, null for none, only asks how the market stands. `look` is when gold logs its age.
  EOT
  type = object({
    daily     = optional(map(string), { first = "45 0 * * *", again = "45 1 * * *" })
    snapshots = optional(string)
    look      = optional(string, "15 * * * *")
    paused    = optional(bool, false)
  })
  default  = {}
  nullable = false

  # Minute, hour, day, month, weekday: * or a number or a range that goes up, with or without a step, and lists of them.
  validation {
    condition = alltrue(flatten([
      for cron in concat(values(var.schedule.daily), [for each in [var.schedule.snapshots, var.schedule.look] : each if each != null]) : [
        try(length(split(" ", cron)) == 5, false),
        try([
          for at, field in split(" ", cron) : [
            for part in split(",", field) : [
              for found in [regex("^(?:\\*|([0-9]{1,2})(?:-([0-9]{1,2}))?)(?:/([0-9]{1,2}))?$", part)] : [
                for ends in [[[0, 59], [0, 23], [1, 31], [1, 12], [0, 7]][at]] :
                tonumber(coalesce(found[0], ends[0])) >= ends[0] &&
                tonumber(coalesce(found[0], ends[0])) <= tonumber(coalesce(found[1], found[0], ends[1])) &&
                tonumber(coalesce(found[1], found[0], ends[1])) <= ends[1] &&
                tonumber(coalesce(found[2], 1)) >= 1 && tonumber(coalesce(found[2], 1)) <= ends[1]
              ]
            ]
          ]
        ], false),
      ]
    ]))
    error_message = "schedule should be cron lines of five fields (minute hour day month weekday), such as 45 0 * * *: numbers within their ranges, ranges from the lower to the higher (1-23), and steps that fit (*/15)."
  }

  # The first of a line's days against the longest of its months. Where a weekday is named too, either is enough.
  validation {
    condition = alltrue([
      for cron in concat(values(var.schedule.daily), [for each in [var.schedule.snapshots, var.schedule.look] : each if each != null]) :
      try(split(" ", cron)[4] != "*" || anytrue(flatten([
        for part in split(",", split(" ", cron)[3]) : [
          for found in [regex("^(?:\\*|([0-9]{1,2})(?:-([0-9]{1,2}))?)(?:/([0-9]{1,2}))?$", part)] : [
            for month in range(coalesce(found[0], 1), coalesce(found[1], found[2] == null ? found[0] : 12, 12) + 1, coalesce(found[2], 1)) :
            [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1] >= min([
              for day in split(",", split(" ", cron)[2]) : tonumber(coalesce(one(regexall("^[0-9]+", day)), 1))
            ]...)
          ]
        ]
      ])), true) # what is no cron line is refused above
    ])
    error_message = "schedule should name days that come: a line waits for a day that none of its months has, as 0 0 30 2 * does for 30 February. The last day of every month cannot be said in cron; 0 0 28 * * is the last that every month has."
  }

  validation {
    condition     = !contains(keys(var.schedule.daily), "snapshot")
    error_message = "schedule.daily should not call a call snapshot: that is the name of the one that schedule.snapshots makes."
  }

  validation {
    condition     = length(var.schedule.daily) >= 1 && alltrue([for name in keys(var.schedule.daily) : can(regex("^[a-z][a-z0-9-]{0,30}$", name))])
    error_message = "schedule.daily should hold at least one call, each under a name of lower-case letters, digits and hyphens."
  }
}

variable "functions" {
  description = "Per function: memory (Cloud Run's units) and instances at once. Bronze has one, for one pace and one budget."
  type = object({
    bronze = optional(object({ memory = optional(string, "1Gi") }), {})
    silver = optional(object({ memory = optional(string, "1Gi"), max_instances = optional(number, 3) }), {})
    gold   = optional(object({ memory = optional(string, "2Gi"), max_instances = optional(number, 2) }), {})
  })
  default  = {}
  nullable = false

  validation {
    condition = alltrue([
      for memory in [var.functions.bronze.memory, var.functions.silver.memory, var.functions.gold.memory] :
      contains(["512Mi", "1Gi", "2Gi", "4Gi"], memory)
    ])
    error_message = "memory should be one of 512Mi, 1Gi, 2Gi, 4Gi: what one processor can have, and what DuckDB needs."
  }

  validation {
    condition = alltrue([
      for count in [var.functions.silver.max_instances, var.functions.gold.max_instances] :
      count == floor(count) && count >= 1 && count <= 100
    ])
    error_message = "max_instances should be a whole number from 1 to 100."
  }
}

variable "delivery" {
  description = <<-EOT
    How events are delivered: seconds until a push counts as failed (also the longest a function may take), the waits
    between tries, the tries before an event is dead, and how many days what is waiting or dead is kept.
  EOT
  type = object({
    ack_deadline_s  = optional(number, 600)
    min_backoff_s   = optional(number, 10)
    max_backoff_s   = optional(number, 600)
    max_attempts    = optional(number, 20)
    keep_days       = optional(number, 7)
    keep_dead_days  = optional(number, 31)
    work_deadline_s = optional(number, 540)
  })
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for number in values(var.delivery) : number == floor(number)])
    error_message = "delivery should be whole numbers, of seconds, tries and days."
  }

  validation {
    condition     = var.delivery.ack_deadline_s >= 10 && var.delivery.ack_deadline_s <= 600
    error_message = "delivery.ack_deadline_s should be from 10 to 600: a push waits no longer."
  }

  validation {
    condition     = var.delivery.work_deadline_s >= 5 && var.delivery.work_deadline_s <= var.delivery.ack_deadline_s - 5
    error_message = "delivery.work_deadline_s should end at least 5 seconds before ack_deadline_s, or the answer comes too late."
  }

  validation {
    condition     = var.delivery.min_backoff_s >= 0 && var.delivery.min_backoff_s <= var.delivery.max_backoff_s && var.delivery.max_backoff_s <= 600
    error_message = "delivery.min_backoff_s and max_backoff_s should be from 0 to 600, the first not above the second."
  }

  validation {
    condition     = var.delivery.max_attempts == floor(var.delivery.max_attempts) && var.delivery.max_attempts >= 5 && var.delivery.max_attempts <= 100
    error_message = "delivery.max_attempts should be a whole number from 5 to 100: Pub/Sub allows no other."
  }

  validation {
    condition     = alltrue([for days in [var.delivery.keep_days, var.delivery.keep_dead_days] : days >= 1 && days <= 31])
    error_message = "delivery.keep_days and keep_dead_days should be from 1 to 31: Pub/Sub keeps no message longer."
  }
}

# What is kept -----------------------------------------------------------------------------------------------------

variable "keep" {
  description = <<-EOT
    Per layer, in days: `soft_delete` is how long something deleted can be had back, `noncurrent` how long a replaced or
    deleted version stays, `nearline` and `coldline` when bronze moves to cheaper storage: 0 for never, for null counts
    as left out.
  EOT
  type = object({
    bronze = optional(object({
      soft_delete = optional(number, 30)
      noncurrent  = optional(number, 90)
      nearline    = optional(number, 90)
      coldline    = optional(number, 365)
    }), {})
    silver = optional(object({ soft_delete = optional(number, 7), noncurrent = optional(number, 14) }), {})
    gold   = optional(object({ soft_delete = optional(number, 0), noncurrent = optional(number, 3) }), {})
  })
  default  = {}
  nullable = false

  validation {
    condition = alltrue([
      for days in [var.keep.bronze.soft_delete, var.keep.silver.soft_delete, var.keep.gold.soft_delete] :
      days == floor(days) && (days == 0 || (days >= 7 && days <= 90))
    ])
    error_message = "soft_delete should be 0 or a whole number of days from 7 to 90: Cloud Storage allows nothing between."
  }

  validation {
    condition = alltrue([
      for days in [var.keep.bronze.noncurrent, var.keep.silver.noncurrent, var.keep.gold.noncurrent] :
      days == floor(days) && days >= 1
    ])
    error_message = "noncurrent should be a whole number of days from 1 on."
  }

  validation {
    condition     = alltrue([for days in [var.keep.bronze.nearline, var.keep.bronze.coldline] : days == floor(days) && days >= 0])
    error_message = "nearline and coldline should be whole numbers of days from 1 on, or 0 for never."
  }

  validation {
    condition     = var.keep.bronze.coldline == 0 || var.keep.bronze.coldline > var.keep.bronze.nearline
    error_message = "coldline should come after nearline, or be 0 for never."
  }
}

variable "delete_data" {
  description = "Whether destroy deletes the data buckets with all that is in them. False: it leaves them."
  type        = bool
  default     = false
  nullable    = false
}

# Who is told, who may -----------------------------------------------------------------------------------------------

variable "alert_email" {
  description = "Who is told when something is wrong. Null: nobody, and incidents show in the console only."
  type        = string
  default     = null

  validation {
    condition     = var.alert_email == null || can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", var.alert_email))
    error_message = "alert_email should be one address; leave it out (or null) to tell nobody."
  }
}

variable "budget" {
  description = "Monthly budget, in whole units of the billing account's currency, that mails its owners. Null: none."
  type        = object({ billing_account = string, amount = optional(number, 10) })
  default     = null

  validation {
    condition     = var.budget == null || can(regex("^[0-9A-F]{6}-[0-9A-F]{6}-[0-9A-F]{6}$", try(var.budget.billing_account, "")))
    error_message = "budget.billing_account should look like 01AB23-45CD67-89EF01: gcloud billing accounts list."
  }

  validation {
    condition     = try(var.budget.amount >= 1 && var.budget.amount == floor(var.budget.amount), true)
    error_message = "budget.amount should be a whole number from 1 on."
  }
}

variable "operators" {
  description = "Who may call bronze by hand besides the project's owners, such as user:someone@example.com."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for member in var.operators : can(regex("^(user|group|serviceAccount):[^@\\s]+@[^@\\s]+$", member))])
    error_message = "operators should be user:, group: or serviceAccount: with an address; never allUsers."
  }
}

# Optional, off ------------------------------------------------------------------------------------------------------

variable "dashboard" {
  description = "Strategy Command Center on Cloud Run behind IAP: its image in our region, and who may see it. Null: none."
  type = object({
    image   = string
    viewers = optional(set(string), [])
    memory  = optional(string, "1Gi")
  })
  default = null

  validation {
    condition     = var.dashboard == null || startswith(try(var.dashboard.image, ""), "${var.region}-docker.pkg.dev/")
    error_message = "dashboard.image should lie in the region: REGION-docker.pkg.dev/PROJECT/PREFIX/dashboard:TAG."
  }

  validation {
    condition     = alltrue([for member in try(var.dashboard.viewers, []) : can(regex("^(user|group|serviceAccount):[^@\\s]+@[^@\\s]+$|^domain:[^@\\s]+$", member))])
    error_message = "dashboard.viewers should be user:, group: or serviceAccount: with an address, or domain:; never allUsers."
  }

  validation {
    condition     = contains(["512Mi", "1Gi", "2Gi", "4Gi"], try(var.dashboard.memory, "1Gi"))
    error_message = "dashboard.memory should be one of 512Mi, 1Gi, 2Gi, 4Gi."
  }
}

variable "bigquery" {
  description = "Tables of silver and gold to show in BigQuery. They have to be there: turn it on after the first gold."
  type = object({
    silver = optional(set(string), [])
    gold   = optional(set(string), [])
  })
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for table in setunion(var.bigquery.silver, var.bigquery.gold) : can(regex("^[a-z][a-z0-9_]*$", table))])
    error_message = "bigquery should name tables by their folders, such as daily or market_summary."
  }
}

variable "kms_key" {
  description = "Key of your own for what lies at rest, by its full name, in our region. Null: Google's keys."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key == null || can(regex("^projects/[^/]+/locations/${var.region}/keyRings/[^/]+/cryptoKeys/[^/]+$", var.kms_key))
    error_message = "kms_key should be projects/…/locations/REGION/keyRings/…/cryptoKeys/…, in the same region as the data."
  }
}

variable "allowed_locations" {
  description = "Where new resources of this project may lie, as an organisation policy: [\"in:australia-locations\"]. Empty: no policy."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for place in var.allowed_locations : can(regex("^in:[a-z0-9-]+-locations$", place))])
    error_message = "allowed_locations should be value groups such as in:australia-locations."
  }
}

variable "audit_logs" {
  description = "Whether every read and write of data and secrets is logged. Logs beyond 50 GiB a month are billed."
  type        = bool
  default     = false
  nullable    = false
}
