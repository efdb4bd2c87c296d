variable "project_id" {
  description = "Id of the project."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project_id))
    error_message = "project_id should be a project's id, such as my-coinlake: 6 to 30 lower-case letters, digits and hyphens."
  }
}

variable "region" {
  description = "Where the state lies."
  type        = string
  default     = "australia-southeast1"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]{1,2}$", var.region))
    error_message = "region should be one region such as australia-southeast1 (Sydney): no zone, no multi-region."
  }
}

variable "prefix" {
  description = "What names begin with; the same as the root's."
  type        = string
  default     = "coinlake"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,14}[a-z0-9]$", var.prefix)) && !can(regex("google|^goog", var.prefix))
    error_message = "prefix should be 3 to 16 lower-case letters, digits and hyphens, without the word google."
  }
}

variable "ci" {
  description = "The CI that may deploy: numeric ids of its repository and owner, and the exact subject of its token. Null: none."
  type = object({
    repository_id       = string
    repository_owner_id = string
    sub                 = string
    issuer_uri          = optional(string, "https://token.actions.githubusercontent.com")
  })
  default = null

  validation {
    condition = var.ci == null || (
      can(regex("^[0-9]+$", try(var.ci.repository_id, ""))) && can(regex("^[0-9]+$", try(var.ci.repository_owner_id, "")))
    )
    error_message = "ci.repository_id and ci.repository_owner_id should be numbers: a name can change hands."
  }

  validation {
    condition     = var.ci == null || can(regex("^[^'*\\s]+$", try(var.ci.sub, "")))
    error_message = "ci.sub should be one whole subject, such as repo:OWNER/NAME:ref:refs/heads/main, without * and quotes."
  }

  validation {
    condition     = var.ci == null || startswith(try(var.ci.issuer_uri, ""), "https://")
    error_message = "ci.issuer_uri should begin with https://."
  }
}
